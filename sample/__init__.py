"""Sample data that looks like a children's learning app: accounts, a catalogue, what was played, and what was paid.

What the generator assumes stands as constants at the top of the module that uses it: users.py (countries, trials,
subscriptions, loyalty), sessions.py (how long a session lasts), plays.py (what is played, how long, to its end or not),
devices.py (systems and versions), days.py (weekdays and hours), prices.py (plans, currencies, taxes), customers.py (who
buys, and when the app learns of it), lives.py (trial, payment, changes, pauses, end and return), trouble.py (what goes
wrong).

What is paid is a business of its own: 200 customers a year sign up, 60 % of them try first, and 61 % of those go on to
pay. Subscriptions move between the plans starter, plus and family and between months and years; a school pays by the
seat. They are paused, fail to be paid (past_due, then active again, unpaid or canceled), are asked to end with their
period, end at once or are told of late, and some return. Discounts end. Invoices follow: a line per period, two per
change within one, credits with the next, tax by country; open, then paid, void or uncollectible, perhaps refunded.

What holds, whatever the options: an invoice's `amount_due` is the sum of its lines' amounts and taxes; a paid one has
`amount_paid` equal to it, and never more refunded; the versions of a subscription rise with `updated_at`; a version is
told once, but for the copies that `duplicates` asks for.
"""
