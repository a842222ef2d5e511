"""The providers, one file each: what they answer when healthy, and how they word an error."""

from podcasts.stubs.providers.anthropic import Anthropic
from podcasts.stubs.providers.openai import DeepSeek, OpenAI
from podcasts.stubs.providers.provider import Provider
from podcasts.stubs.providers.replicate import Replicate
from podcasts.stubs.providers.sendgrid import SendGrid
from podcasts.stubs.providers.stripe import Stripe


def all_providers() -> list[Provider]:
    """Return every provider, each with an empty store of its own."""
    return [OpenAI(), Anthropic(), DeepSeek(), Replicate(), Stripe(), SendGrid()]
