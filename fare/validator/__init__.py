"""The device on the bus: decides without network, keeps a journal, hands its taps in."""
