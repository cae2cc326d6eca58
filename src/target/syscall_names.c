#include "target/syscall_names.h"

#include <stddef.h>

static const char *const names[] = {
#if defined __x86_64__ && !defined __ILP32__
#include "target/syscall_names_x86_64.inc"
#elif defined __aarch64__
#include "target/syscall_names_aarch64.inc"
#else
	NULL
#endif
};

const char *syscall_name(long nr)
{
	return nr >= 0 && nr < (long)(sizeof names / sizeof *names) ? names[nr] : NULL;
}
