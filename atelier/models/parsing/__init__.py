"""Human parsing: which part of a person each pixel is, in CIHP's 20 labels."""
