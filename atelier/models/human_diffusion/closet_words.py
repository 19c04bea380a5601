"""The words of the closet's captions: those that the small weights were trained on."""

from __future__ import annotations

_WORDS = """
afro apart arms auburn back bald beanie beard behind beige black blond blue blush bob bolt boots box brown bun
burgundy buzz cap charcoal checked chest circle clasped closed cream crossed curly cut dark denim dotted down
dress fair feet flower glasses gradient green grey hair hand hands hat head heart held hip hips hoodie indigo
jacket knee lap legs light lilac logo long long-sleeved loose mountains mustard navy olive one open orange out
part patterned person pink pocket pockets ponytail purple quiff raised red relaxed rust scoop-neck shirt shoes
short short-sleeved shorts side sitting skin skirt standing star straight striped sun t-shirt tan tank teal
top trousers turned v-neck vertically walking washed waves wavy white word
"""

CLOSET_WORDS = tuple(_WORDS.split())
"""Lower case; printed words are not among them: the letters of any word can be read off its n-grams."""
