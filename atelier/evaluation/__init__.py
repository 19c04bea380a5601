"""How good pictures, maps and joints are, protocol stated beside each figure."""
