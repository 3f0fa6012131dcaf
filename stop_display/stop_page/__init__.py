"""The page of a stop on a telephone: next buses, where they are, stops nearby, reports of trouble, QR and label."""
