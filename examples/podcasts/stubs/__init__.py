"""Loopback servers that speak the wire format of the providers the podcast service calls, with faults on demand.

`python -m podcasts.stubs` serves OpenAI, Anthropic, DeepSeek, Replicate, Stripe and SendGrid, each on a port of its
own, and a control API on one more. `podcasts.stubs.client.start_stubs` starts that process and ends it.
"""
