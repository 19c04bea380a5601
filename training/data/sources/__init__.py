"""Where samples come from before they are shards: folders in the layouts that data sets have, or the closet."""
