"""What a try-on needs beside its networks: agnostic person and parse, skeleton, garment mask."""
