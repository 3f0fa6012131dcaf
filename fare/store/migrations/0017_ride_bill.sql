-- Why a ride costs what was posted for it, line by line. ``version`` is that of ride_charge, 0 for a ride that has none. It
-- is written after posting and takes its amounts from there, so that a report reads it instead of deriving a day's bills;
-- whatever is missing is derived anew. What is settled has its lines in settled_ride, and none here.
CREATE TABLE ride_bill (
    device_id text NOT NULL,
    sequence bigint NOT NULL,
    version integer NOT NULL CHECK (version >= 0),
    charges jsonb NOT NULL,
    PRIMARY KEY (device_id, sequence, version)
);
