/* Which runtime runs in a process, by its ELF sections and maps: names lie. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "target/autopsy.h"

/* Section headers are read from the end of the file: they are not mapped in the process itself. */
static bool has_section(int fd, const char *const *names)
{
	Elf64_Ehdr eh;
	Elf64_Shdr sh[128];
	char strings[8192];

	if (pread(fd, &eh, sizeof eh, 0) != sizeof eh || memcmp(eh.e_ident, ELFMAG, SELFMAG) ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_shentsize != sizeof *sh)
		return false;
	size_t n = eh.e_shnum < 128 ? eh.e_shnum : 128;

	if (eh.e_shstrndx >= n || pread(fd, sh, n * sizeof *sh, (off_t)eh.e_shoff) != (ssize_t)(n * sizeof *sh))
		return false;
	ssize_t len = pread(fd, strings, sizeof strings - 1, (off_t)sh[eh.e_shstrndx].sh_offset);

	if (len <= 0)
		return false;
	strings[len] = '\0';
	for (size_t i = 0; i < n; i++)
		for (const char *const *name = names; *name; name++)
			if (sh[i].sh_name < (size_t)len && !strcmp(strings + sh[i].sh_name, *name))
				return true;
	return false;
}

static bool maps_libjvm(pid_t pid)
{
	char path[40], line[512];

	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	_cleanup_file_ FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof line, f))
		if (strstr(line, "/libjvm.so"))
			return true;
	return false;
}

const char *autopsy_runtime(pid_t pid)
{
	static const char *const go_sections[] = { ".go.buildinfo", ".note.go.buildid", NULL };
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/exe", pid);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && has_section(fd, go_sections))
		return "go";
	return maps_libjvm(pid) ? "java" : NULL;
}
