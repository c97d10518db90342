import base64
import random
from array import array

import pytest

from worker.nearest import LOOKED_AT, nearest, point, unit

NUMBERS = 1536


def drawn(chance, around=(0.0,) * NUMBERS, spread=1.0):
    return unit([middle + chance.gauss(0, spread) for middle in around])


def test_the_nearest_are_found_by_their_cosine_nearest_first():
    chance = random.Random(1)
    points = [point(f"{number}", drawn(chance)) for number in range(300)]
    for number in range(0, 300, 10):
        close = drawn(chance, points[number].vector, 0.75 / NUMBERS**0.5)  # a cosine of 0.8
        found = nearest(close, points)
        assert found[0].id == f"{number}"
        assert found[0].similarity == pytest.approx(0.8, abs=0.05)
        assert len(found) == LOOKED_AT
        assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)


def test_of_one_id_the_last_vector_counts_and_those_of_another_length_do_not():
    points = [point("a", unit([0, 1])), point("a", unit([1, 0])), point("b", unit([1, 0, 0]))]
    assert nearest(unit([5, 0]), points) == [("a", 1.0)]
    assert nearest(unit([5, 0]), []) == []


def test_vectors_come_as_numbers_or_as_base64():
    packed = base64.b64encode(array("f", [3, 4]).tobytes()).decode()
    assert unit(packed) == unit([3, 4]) == array("f", [0.6, 0.8])


@pytest.mark.parametrize("given", [[], [0.0, 0.0], [float("nan")], [float("inf")], "AAA", ""], ids=str)
def test_what_is_no_vector_is_refused(given):
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        unit(given)
