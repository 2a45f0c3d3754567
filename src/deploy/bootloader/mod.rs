//! What firmware starts: found in the image, laid out on ESP and /boot.
