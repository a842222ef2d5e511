import secrets
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.cache.cryptography import Encrypt
from seawall.cache.errors import DecodeError
from seawall.cache.transforms import Compress, Sign
from seawall.core import OptionError

OLD, NEW = b"o" * 32, b"n" * 32
TRANSFORMS: list[Any] = [Compress(above=4), Sign(NEW, OLD), Encrypt(NEW, OLD)]
ids = [type(each).__name__ for each in TRANSFORMS]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=ids)
@given(data=st.binary(max_size=200) | st.binary(max_size=9).map(lambda part: part * 50), key=st.binary(max_size=20))
def test_what_is_wrapped_comes_back(transform, data, key):
    assert transform.unwrap(transform.wrap(data, key), key) == data


@pytest.mark.parametrize("transform", TRANSFORMS, ids=ids)
@given(data=st.binary(max_size=80))
def test_foreign_bytes_are_a_decode_error(transform, data):
    try:
        transform.unwrap(data, b"key")
    except DecodeError:
        return
    assert isinstance(transform, Compress)


@pytest.mark.parametrize("transform", TRANSFORMS[1:], ids=ids[1:])
@given(data=st.binary(max_size=40), at=st.integers(0), bit=st.integers(0, 7))
def test_one_changed_bit_is_a_decode_error(transform, data, at, bit):
    wrapped = bytearray(transform.wrap(data, b"key"))
    wrapped[at % len(wrapped)] ^= 1 << bit
    with pytest.raises(DecodeError):
        transform.unwrap(bytes(wrapped), b"key")


@pytest.mark.parametrize("transform", TRANSFORMS[1:], ids=ids[1:])
@given(data=st.binary(max_size=40), one=st.binary(max_size=9), other=st.binary(max_size=9))
def test_an_entry_can_not_be_moved_to_another_key(transform, data, one, other):
    if one == other:
        return
    with pytest.raises(DecodeError):
        transform.unwrap(transform.wrap(data, one), other)


def test_no_byte_moves_between_key_and_data():
    wrapped = Sign(NEW).wrap(b"bc", b"a")
    with pytest.raises(DecodeError):
        Sign(NEW).unwrap(wrapped[:32] + b"c", b"ab")


@pytest.mark.parametrize("kind", [Sign, Encrypt])
def test_a_secret_is_rotated(kind):
    before = kind(OLD).wrap(b"data", b"key")
    during = kind(NEW, OLD)
    assert during.unwrap(before, b"key") == b"data"
    after = during.wrap(b"data", b"key")
    assert kind(NEW).unwrap(after, b"key") == b"data"
    with pytest.raises(DecodeError):
        kind(NEW).unwrap(before, b"key")


@pytest.mark.parametrize(
    ("kind", "given_"),
    [(Sign, (b"hush" * 3,)), (Encrypt, (b"hush" * 7,)), (Encrypt, (b"hush" * 9,)), (Sign, ("hush" * 9,))],
)
def test_a_weak_secret_is_refused_and_not_shown(kind, given_):
    with pytest.raises(OptionError) as caught:
        kind(*given_)
    assert "hush" not in str(caught.value) + repr(caught.value) + repr(caught.value.attributes)


@pytest.mark.parametrize("kind", [Sign, Encrypt])
def test_secrets_are_required_and_never_shown(kind):
    with pytest.raises(OptionError, match="at least one"):
        kind()
    assert "n" * 5 not in repr(kind(NEW))
    with pytest.raises(DecodeError) as caught:
        kind(NEW).unwrap(b"hush" * 20, b"key")
    assert "hush" not in str(caught.value)


def test_encryption_hides_the_data_and_differs_each_time():
    encrypt = Encrypt(secrets.token_bytes(32))
    one, other = (encrypt.wrap(b"listen to this", b"key") for _ in range(2))
    assert one != other
    assert b"listen" not in one


def test_small_and_random_data_is_stored_as_it_is():
    assert Compress().wrap(b"a" * 1023, b"") == b"\x00" + b"a" * 1023
    noise = secrets.token_bytes(2000)
    assert Compress().wrap(noise, b"") == b"\x00" + noise
    assert len(Compress().wrap(b"a" * 1024, b"")) < 100


def test_a_bomb_does_not_go_off():
    bomb = b"\x01" + zlib.compress(bytes(10_000_000), 9)
    with pytest.raises(DecodeError, match="max_bytes=1000"):
        Compress(max_bytes=1000).unwrap(bomb, b"")
    assert len(Compress(max_bytes=10_000_000).unwrap(bomb, b"")) == 10_000_000


def test_what_is_larger_than_can_be_read_is_not_compressed():
    compress = Compress(max_bytes=2000)
    assert compress.unwrap(compress.wrap(bytes(3000), b""), b"") == bytes(3000)


@pytest.mark.parametrize(
    "cut", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"\x02" + data, lambda _: b""]
)
def test_damaged_compressed_data_is_a_decode_error(cut):
    with pytest.raises(DecodeError):
        Compress().unwrap(cut(Compress().wrap(b"a" * 5000, b"")), b"")


@pytest.mark.parametrize("options", [{"above": -1}, {"level": 0}, {"level": 10}, {"max_bytes": 0}, {"level": 1.5}])
def test_an_impossible_option_is_refused(options):
    with pytest.raises(OptionError):
        Compress(**options)


def test_every_transform_has_a_byte_of_its_own():
    assert [each.id for each in TRANSFORMS] == [1, 2, 3]
