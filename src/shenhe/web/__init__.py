"""What the web apps share: addresses, headers of safety, the socket, looks, words, pictures."""
