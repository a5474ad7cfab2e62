"""Sample data of a fictional children's learning app: accounts, activity catalogue, plays and payments.

Each module states its assumptions as constants at the top: users.py (countries, trials, subscriptions, loyalty),
sessions.py (session length), plays.py (activity, duration, completion), devices.py (systems and versions), days.py
(weekdays and hours), prices.py (plans, currencies, taxes), customers.py (who buys, and when the customer is linked to
an app account), lives.py (trial, payment, changes, pauses, end and return), trouble.py (data faults).

Payments are modelled separately: by default 200 customers a year sign up, 60 % of them start with a trial, and 61 % of
these convert. Subscriptions move between the plans starter, plus and family and between monthly and yearly billing; a
school pays by the seat. Subscriptions are paused, fail to be paid (past_due, then active again, unpaid or canceled),
are canceled at period end or at once, are sometimes reported late, and some return. Discounts expire. Invoices have one
line per period, two per change within a period, credits with the next invoice, and tax by country; they are open, then
paid, void or uncollectible, and sometimes refunded.

The shop has a database of its own (shop.py): customers (buyers.py) and guests order (orders.py) from a catalogue
(stock.py), pay and receive parcels (fulfilment.py), and give some back (returns.py). Its visitors (visitors.py) click
(steps.py: what; visits.py: when, from where; clicks.py: how it arrives). Its goods lie in two stocks (movements.py:
what comes and goes; inventory.py: how it arrives), and its advertising platforms export what they cost (spend.py).

Invariants under all options: an order's total is the sum of its items, less discount, with shipping and tax; refunds of
an item never exceed it; a purchase among the clicks is that of an order, at its time; a level of a stock is the one
before and what moved, and what an order took is what its customer has; an invoice's `amount_due` is the sum of its
lines' amounts and taxes; a paid invoice has an equal `amount_paid`, and never a larger refund; the versions of a
subscription increase with `updated_at`; each version is sent once, except for the copies that `duplicates` requests.
"""
