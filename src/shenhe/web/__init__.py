"""What the web apps share: which addresses are theirs, headers of safety, the socket."""
