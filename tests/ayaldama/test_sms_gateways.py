"""The file of agreements with mobile operators: what it may say, and that its mistakes are named without secrets."""

from pathlib import Path

import pytest

from ayaldama.sms_gateways import SmsGateways, SmsGatewaysError, read_gateways

SECRET = "s3cret-of-the-operator"
SMPP = f"""
[[smpp]]
operator = "kcell"
host = "smsc.kcell.example"
system_id = "bus"
password = "{SECRET}"
"""
KANNEL = f"""
[[kannel]]
operator = "beeline"
sendsms_url = "http://kannel/"
username = "u"
password = "p"
secret = "{SECRET}"
"""
WEBHOOK = """
[[webhook]]
operator = "tele2"
url = "https://tele2.example/"
secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
"""
CHARGING = f"""
[[charging]]
operator = "kcell"
url = "https://pay.kcell.example/"
secret = "{SECRET}"
"""


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "gateways.toml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_all_kinds_of_agreements_are_read(tmp_path: Path) -> None:
    text = SMPP + KANNEL + WEBHOOK + CHARGING + '[ranges]\nkcell = ["Kcell/Activ"]\n'
    read = read_gateways(written(tmp_path, text))
    assert [one.operator for one in (*read.smpp, *read.kannel, *read.webhook)] == ["kcell", "beeline", "tele2"]
    assert (read.charging[0].url, read.ranges) == ("https://pay.kcell.example/", {"kcell": ("Kcell/Activ",)})


def test_an_empty_file_says_that_there_are_no_messages(tmp_path: Path) -> None:
    assert read_gateways(written(tmp_path, "")) == SmsGateways()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMPP.replace("password", "pasword"), "unknown field `pasword`"),
        (SMPP.replace("host", "port = 70000\nhost") + "window = 0\n", "window must be from 1 to 1000: 0"),
        (SMPP + "per_s = -1.0\n", "per_s must be above 0"),
        (SMPP + SMPP, "operator kcell is named 2 times"),
        (SMPP + KANNEL.replace("beeline", "kcell"), "operator kcell is named 2 times"),
        (SMPP.replace('"kcell"', '"k cell"'), "operator must be a name"),
        (KANNEL.replace(SECRET, ""), "secret or addresses must be set"),
        (WEBHOOK.replace("whsec_", ""), "a secret must be whsec_"),
        ("[[smpp", "sms.gateways"),
        ("[[pigeon]]\n", "unknown field `pigeon`"),
    ],
)
def test_a_mistake_is_named_and_no_secret_shown(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SmsGatewaysError, match=said) as refused:
        read_gateways(written(tmp_path, text))
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SmsGatewaysError, match="chmod 600"):
        read_gateways(written(tmp_path, SMPP, mode=0o640))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SmsGatewaysError, match="No such file"):
        read_gateways(tmp_path / "nothing.toml")


def test_a_representation_shows_no_secret(tmp_path: Path) -> None:
    read = read_gateways(written(tmp_path, SMPP + KANNEL + CHARGING))
    assert SECRET not in repr(read)
