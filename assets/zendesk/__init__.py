"""The Zendesk sync: client, streams, topics, tables."""
