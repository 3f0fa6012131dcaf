-- Dispatchers watch the fleet of boards. They see nothing of money.
ALTER TABLE person DROP CONSTRAINT person_role_check;
ALTER TABLE person ADD CONSTRAINT person_role_check
    CHECK (role IN ('accountant', 'carrier', 'inspector', 'operator', 'auditor', 'dispatcher'));
