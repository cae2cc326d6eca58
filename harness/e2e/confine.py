#!/usr/bin/env python3
"""confine.py COMMAND...: runs it under a seccomp filter like that of container engines: no new namespaces, no mounts, and
clone3 is "not implemented" (so that programs use clone, whose flags a filter can see). Every process may do this."""
import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LD, JEQ, JSET, RET = 0x20, 0x15, 0x45, 0x06
NEW_NAMESPACES = 0x7E020000     # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
SYSCALLS = {"x86_64": {"clone": 56, "mount": 165, "unshare": 272, "setns": 308, "clone3": 435},
            "aarch64": {"clone": 220, "mount": 40, "unshare": 97, "setns": 268, "clone3": 435}}


def program(n):
    """BPF: number of the syscall, then a verdict for each one of interest."""
    code = [(LD, 0, 0, 0)]
    for name, verdict in (("clone3", errno.ENOSYS), ("unshare", errno.EPERM), ("setns", errno.EPERM), ("mount", errno.EPERM)):
        code += [(JEQ, 0, 1, n[name]), (RET, 0, 0, ERRNO | verdict)]
    code += [(JEQ, 0, 3, n["clone"]), (LD, 0, 0, 16), (JSET, 0, 1, NEW_NAMESPACES), (RET, 0, 0, ERRNO | errno.EPERM)]
    return code + [(RET, 0, 0, ALLOW)]


def confine():
    code = b"".join(struct.pack("HBBI", *row) for row in program(SYSCALLS[platform.machine()]))
    buffer = ctypes.create_string_buffer(code)
    fprog = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for args in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0)):
        if prctl(*args):
            sys.exit(f"confine.py: prctl {args[0]}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    confine()
    os.execvp(sys.argv[1], sys.argv[1:])
