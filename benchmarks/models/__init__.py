"""What each lever gives a model, one after the other, against the straightforward loop that it begins with."""
