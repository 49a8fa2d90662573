"""What `sercache new` writes: a head, a corpus and an encoder that keep their contracts, as docs/howto shows them."""
