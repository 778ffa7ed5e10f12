"""A client of MetaApi that watches links to MetaTrader terminals and repairs them.

It imports nothing of Home Assistant. `Monitor` keeps the links, `Provisioning` reads accounts.
"""
