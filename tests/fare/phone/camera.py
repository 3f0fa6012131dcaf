"""A camera that a browser takes for real, before which somebody holds a QR."""

from pathlib import Path

import segno

WIDTH, HEIGHT, MODULE = 640, 480, 8
PAPER, GREY = 235, 128


def camera_that_sees(text: str, path: Path) -> tuple[str, ...]:
    """Write a second of a QR that stands still, as YUV4MPEG2; return the flags of a browser whose camera sees it."""
    rows = list(segno.make_qr(text, error="m", boost_error=False).matrix_iter(scale=MODULE, border=2))
    light = bytearray([PAPER]) * (WIDTH * HEIGHT)
    top, left = (HEIGHT - len(rows)) // 2, (WIDTH - len(rows)) // 2
    for y, row in enumerate(rows):
        at = (top + y) * WIDTH + left
        light[at : at + len(row)] = bytes(16 if dark else PAPER for dark in row)
    colour = bytes([GREY]) * (WIDTH * HEIGHT // 2)
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode()
    path.write_bytes(head + (b"FRAME\n" + light + colour) * 10)
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={path}",
    )
