"""The risk of bank cards: rides are given before anybody knows whether the card will pay.

A floor of its own between the ledger and whoever asks an acquirer: it decides what to ask and what an answer means for
the card, and knows no acquirer, no ledger account and no clock.
"""
