"""A synthetic wardrobe: drawn people in drawn garments, with the truth about every pixel.

A person, a garment and a pose are a seed each, and any combination can be drawn, so that every try-on and every pose
transfer has a true answer. Seeds from 1,000,000 up are kept for judging.
"""

from atelier.closet.flat import FlatLay, draw_flat
from atelier.closet.garments import BOTTOMS, CATEGORIES, TOPS, garment_category, garment_seed
from atelier.closet.look import Look, draw_look
from atelier.closet.outfits import Outfit, bottom_seed, outfit_for, top_seed
from atelier.closet.sheet import contact_sheet
from atelier.skeletons import coco18

__all__ = [
    "BOTTOMS",
    "CATEGORIES",
    "TOPS",
    "FlatLay",
    "Look",
    "Outfit",
    "bottom_seed",
    "coco18",
    "contact_sheet",
    "draw_flat",
    "draw_look",
    "garment_category",
    "garment_seed",
    "outfit_for",
    "top_seed",
]
