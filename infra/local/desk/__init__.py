"""The demo help desk: an invented company's support, told and served over the Zendesk API."""
