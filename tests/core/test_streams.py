"""Counter-based random numbers: NumPy's words everywhere, and that nothing but key and place decides them."""

import numpy as np
import pytest
import torch
from scipy import stats

from equidyn.core import streams
from equidyn.core.streams import keys_for, normal, philox, uniform

KEYS = torch.tensor([0, 1, 2**63 - 1, 123456789012345678])


@pytest.mark.parametrize("stream", [0, 1, 7])
def test_words_are_those_of_numpy(stream):
    for key, words in zip(KEYS.tolist(), philox(KEYS, 50, stream), strict=True):
        expected = np.random.Philox(key=key + (stream << 64)).random_raw(200)
        assert np.array_equal(words.numpy().view(np.uint64), expected)


def test_both_ways_to_words_agree(monkeypatch):
    shapes = [(1,), (7,), (3, 5)]
    fast = [(normal(KEYS, shape, 3), uniform(KEYS, shape, 3)) for shape in shapes]
    monkeypatch.setattr(streams, "_words", streams._words_by_tensors)
    for shape, (z, u) in zip(shapes, fast, strict=True):
        assert torch.equal(normal(KEYS, shape, 3), z)
        assert torch.equal(uniform(KEYS, shape, 3), u)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_numbers_of_a_gpu():
    assert torch.equal(uniform(KEYS.cuda(), (1001,)).cpu(), uniform(KEYS, (1001,)))
    torch.testing.assert_close(normal(KEYS.cuda(), (1001,)).cpu(), normal(KEYS, (1001,)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("draw", [normal, uniform])
def test_only_key_and_place_decide(draw):
    whole = draw(KEYS, (30,))
    assert torch.equal(torch.cat([draw(KEYS[:1], (30,)), draw(KEYS[1:], (30,))]), whole)
    assert torch.equal(draw(KEYS, (11,)), whole[:, :11])
    assert torch.equal(draw(KEYS, (5, 6)).flatten(1), whole)
    assert not torch.equal(draw(KEYS, (30,), stream=1), whole)
    assert len(torch.unique(whole)) == whole.numel()


def test_distributions():
    keys = keys_for(0, "test", examples=np.arange(100))
    for numbers, distribution in ((uniform(keys, (1000,)), "uniform"), (normal(keys, (1000,)), "norm")):
        assert stats.kstest(numbers.flatten().numpy(), distribution).pvalue > 0.001
        pairs = numbers - numbers.mean()
        assert abs(float((pairs[:, ::2] * pairs[:, 1::2]).mean() / pairs.var())) < 5 / 50_000**0.5
    assert 0 <= float(uniform(keys, (1000,)).min()) < float(uniform(keys, (1000,)).max()) < 1


def test_no_word_gives_an_infinite_number(monkeypatch):
    for word in (0.0, 1.0, 2.0**32):  # words round up to the last
        monkeypatch.setattr(streams, "_words", lambda *_, word=word: torch.full((1, 2), word))
        assert normal(KEYS[:1], (2,)).isfinite().all()
        assert 0 <= float(uniform(KEYS[:1], (2,)).max()) < 1


def test_keys_follow_from_purpose_and_example():
    keys = keys_for(3, "noise", examples=np.array([5, 9, 5]))
    assert keys[0] == keys[2] != keys[1]
    assert keys[0] == streams.seed_for(3, "noise", 5)
    assert keys_for(4, "noise", examples=np.array([5]))[0] != keys[0]
