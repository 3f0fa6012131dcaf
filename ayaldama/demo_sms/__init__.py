"""The demo's mobile network: telephones on a page, and a message centre that speaks SMPP to whoever binds.

Only the demo has it. What is typed on the page goes through a true SMPP connection to the role ``sms`` and back.
"""
