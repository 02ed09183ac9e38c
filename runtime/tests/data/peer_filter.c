/* Makes a filter with libseccomp from lines on stdin and writes it to stdout; the peer of our own compiler in tests.
 *   default ACTION
 *   arch TOKEN
 *   rule ACTION NAME { INDEX OPERATOR VALUE SECOND }...
 * Names that libseccomp does not know are written to stderr. */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	char line[4096];
	scmp_filter_ctx filter = NULL;

	while (fgets(line, sizeof line, stdin)) {
		char *word = strtok(line, " \n");
		if (!word)
			continue;
		if (!strcmp(word, "default")) {
			filter = seccomp_init(strtoul(strtok(NULL, " \n"), NULL, 0));
			if (!filter)
				return 1;
			seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
		} else if (!strcmp(word, "arch")) {
			seccomp_arch_add(filter, strtoul(strtok(NULL, " \n"), NULL, 0));
		} else if (!strcmp(word, "rule")) {
			struct scmp_arg_cmp arguments[6];
			unsigned count = 0;
			unsigned long action = strtoul(strtok(NULL, " \n"), NULL, 0);
			char *name = strtok(NULL, " \n");
			int number = seccomp_syscall_resolve_name(name);
			if (number == __NR_SCMP_ERROR) {
				fprintf(stderr, "%s\n", name);
				continue;
			}
			while (count < 6 && (word = strtok(NULL, " \n"))) {
				arguments[count].arg = strtoul(word, NULL, 0);
				arguments[count].op = strtoul(strtok(NULL, " \n"), NULL, 0);
				arguments[count].datum_a = strtoull(strtok(NULL, " \n"), NULL, 0);
				arguments[count].datum_b = strtoull(strtok(NULL, " \n"), NULL, 0);
				count++;
			}
			/* A second rule for the same call is refused, which is what the test wants to see. */
			seccomp_rule_add_array(filter, action, number, count, arguments);
		}
	}
	return seccomp_export_bpf(filter, 1) < 0;
}
