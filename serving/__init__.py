"""The online plane: a request's pictures in, a picture out, by the very stages that the batch plane runs overnight."""
