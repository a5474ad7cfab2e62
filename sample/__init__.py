"""Sample data that looks like a children's learning app: accounts, a catalogue, and what was played.

What the generator assumes stands as constants at the top of the module that uses it: users.py (countries, trials,
subscriptions, loyalty), sessions.py (how long a session lasts), plays.py (what is played, how long, to its end or not),
devices.py (systems and versions), days.py (weekdays and hours), trouble.py (what goes wrong).
"""
