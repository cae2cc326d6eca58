/* What a Go runtime prints on SIGQUIT, made short: pure text. */
#pragma once
#include <stddef.h>

#include "base/buf.h"

/* text: with a NUL behind it. Appends a line for each way in which goroutines of the program wait, that of main first:
 * "goroutine 1 [sync.WaitGroup.Wait] in main.main (main.go:142)", "goroutine 20 [chan receive] in main.work (main.go:50), and 31 more so".
 * What waits in the library alone comes last, what is the runtime's own not at all. Returns how many goroutines the dump has. */
size_t go_dump(const char *text, size_t n, struct buf *out);
