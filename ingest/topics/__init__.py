"""Topics of Kafka: a connection, what a topic has, where a load continues, and messages as lines of JSON.

Only these modules import the client, when they are used: the core works without the extra `kafka`.
"""
