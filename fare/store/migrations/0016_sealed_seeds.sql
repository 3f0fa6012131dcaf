-- Seeds of one-time codes are sealed under the city's key (fare/store/sealed_seeds.py). Rows of before are sealed when the
-- system starts, as the database has no key; none may be added or stay when its row is changed.
ALTER TABLE person ADD CONSTRAINT person_seed_is_sealed
    CHECK (totp_secret IS NULL OR (get_byte(totp_secret, 0) = 1 AND length(totp_secret) > 1 + 12 + 16)) NOT VALID;
