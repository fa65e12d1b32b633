"""The tables are well formed: distinct labels, values that can be typed or chosen, pages of at most six elements."""

from __future__ import annotations

import pytest

from veracast.agents.page.sites import PROMOTIONS, SITES, TO_START, Site


def test_there_are_eight_kinds() -> None:
    assert len({site.name for site in SITES}) == len(SITES) == 8
    assert sum(bool(site.menu) for site in SITES) == 3


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_labels_are_distinct_and_pages_have_five_or_six_elements(site: Site) -> None:
    form = [*(field.label for field in site.fields), *(button.label for button in site.buttons)]
    labels = [*form, *site.menu, *PROMOTIONS, TO_START]
    assert len(set(labels)) == len(labels)
    assert len(form) + 1 in (5, 6) and (not site.menu or len(site.menu) + 1 == 5)


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_values_and_wordings(site: Site) -> None:
    for field in site.fields:
        assert len(set(field.values)) == len(field.values) and len(field.phrases) == 2
        assert all(phrase.count("{}") == (field.tag != "checkbox") for phrase in field.phrases)
        assert all(value == value.strip() and value for value in field.values)
    asks = [ask for button in site.buttons for ask in button.asks]
    assert len(set(asks)) == len(asks) == 4
