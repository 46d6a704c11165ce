import Glibc
import Reactor

Surroundings.fillStandardDescriptors()
// First of all: OpenSSL writes without a flag against SIGPIPE, and threads inherit the mask.
Signals.block()
exit(CommandLineTool.run(Array(CommandLine.arguments.dropFirst())))
