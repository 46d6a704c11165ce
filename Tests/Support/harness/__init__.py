"""What the black-box tests and the measurements play: the world around one gateway.

Nothing here knows how the gateway is built. It is started as a program with a routes file, and
everybody else (issuer, token service, upstream, callers) is played by this package.
"""
