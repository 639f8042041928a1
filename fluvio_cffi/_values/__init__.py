"""What goes in and comes out: values, and how arguments are checked. Nothing here knows the native library."""
