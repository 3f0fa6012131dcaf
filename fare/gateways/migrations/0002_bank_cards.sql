-- What is known of each bank card that rides, as a whole (fare.risk.values.BankCard, MessagePack); changed only under the
-- lock of its row. Why it is denied follows from that and stands beside it for who builds the deny list.
CREATE TABLE bank_card (
    medium_id text PRIMARY KEY CHECK (medium_id <> ''),
    card bytea NOT NULL,
    denied text,
    open boolean NOT NULL  -- something is owed, asked or to be asked
);

CREATE INDEX bank_card_open ON bank_card (medium_id) WHERE open;
CREATE INDEX bank_card_denied ON bank_card (medium_id) WHERE denied IS NOT NULL;
