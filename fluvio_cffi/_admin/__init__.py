"""The values of administration: what it shows and takes, and how they are written as documents. Nothing here calls."""
