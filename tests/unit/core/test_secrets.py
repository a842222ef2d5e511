"""Which names are a secret's."""

import pytest

from seawall.core.secrets import names_secret

SECRETS = """
    password Password userPassword db_passwd passphrase passcode secret client_secret SECRET_KEY Authorization
    authorisation Cookie set-cookie apiKey api_key X-Api-Key access_key AWSAccessKey private-key credentials
    aws_credential token Token access_token refreshToken csrf_token token_hash session_id sessionId SessionID
    auth pass pw db_pwd card cards card_number cvc cvv iban ssn pin user.pin pin_code pinCode otp otpCode
    card_type cardNo card_numbers iban_number ssn_last4 dsn_host pwd_hash refresh_tokens accessTokens token1
    sentry_dsn DSN signature
"""
OTHERS = """
    user tokens max_tokens prompt_tokens token_count tokenCount token_limits token_type completion_tokens
    tokenizer compass passed passes discard cardinal pinned opinion spin author authority key keys keyword
    access session sessions design assignment number pages
"""


@pytest.mark.parametrize("name", SECRETS.split())
def test_secret(name):
    assert names_secret(name)


@pytest.mark.parametrize("name", OTHERS.split())
def test_not_secret(name):
    assert not names_secret(name)
