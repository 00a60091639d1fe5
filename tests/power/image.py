"""Makes the virtual machine: Debian 12 with the package installed as a gateway has it, the kernel, and a small first system.

The Debian comes from where tests/package has it (debootstrap, once); the kernel is Debian's for clouds, of this machine's
release. Takes root.
"""

import glob
import json
import os
import platform
import shutil
import subprocess

import box
from box import run

HERE = os.path.dirname(os.path.abspath(__file__))
KERNELS = os.environ.get("TWINSPOOL_KERNELS", os.path.join(box.ROOT, "build/power"))
KERNEL = "linux-image-cloud-amd64"
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng")
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "debootstrap": "debootstrap", "cpio": "cpio", "depmod": "kmod",
         "mke2fs": "e2fsprogs", "dpkg-deb": "dpkg"}
BUSYBOX = "/bin/busybox"
SIZE = "1G"  # most of it are holes

# Nothing of them changes what is on the disk, and together they are most of a boot.
MASKED = """
systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service
systemd-udev-settle.service systemd-logind.service systemd-timesyncd.service systemd-random-seed.service
systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-binfmt.service systemd-modules-load.service
systemd-remount-fs.service systemd-user-sessions.service systemd-tmpfiles-clean.timer systemd-journal-flush.service
systemd-ask-password-wall.path systemd-ask-password-console.path systemd-machine-id-commit.service systemd-pstore.service
kmod-static-nodes.service modprobe@.service getty.target getty@.service serial-getty@.service console-getty.service
dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount
proc-sys-fs-binfmt_misc.automount apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer
e2scrub_reap.service dbus.service dbus.socket remote-fs.target nss-user-lookup.target ldconfig.service
systemd-network-generator.service systemd-boot-system-token.service systemd-sysext.service
""".split()
UNWANTED = ("usr/lib/gcc", "usr/include", "usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/info",
            "usr/share/zoneinfo", "var/lib/apt/lists", "var/cache/apt", "var/cache/debconf", "usr/share/i18n")


def why_not():
    """A reason why no virtual machine can be made here; None where one can."""
    if platform.machine() != "x86_64":
        return "it is made for amd64 only"
    if os.geteuid() != 0:
        return "it takes root"
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if not os.path.exists(BUSYBOX):
        missing.append("busybox-static")
    return f"{', '.join(missing)} not installed (scripts/setup power)" if missing else None


def kernel():
    """The directory of its files, fetched once a version."""
    package = next(word for word in run("apt-cache", "depends", KERNEL).stdout.split() if word.startswith("linux-image-6"))
    where = os.path.join(KERNELS, package)
    if os.path.exists(os.path.join(where, ".complete")):
        return where
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    run("apt-get", "download", "-q", package, cwd=where)
    archive = glob.glob(os.path.join(where, "*.deb"))[0]
    run("dpkg-deb", "-x", archive, where)
    os.remove(archive)
    release = os.listdir(os.path.join(where, "lib/modules"))[0]
    run("depmod", "-b", where, "-F", glob.glob(os.path.join(where, "boot/System.map*"))[0], release)
    with open(os.path.join(where, ".complete"), "w", encoding="ascii"):
        pass
    return where


def first_system(kernel_directory, directory):
    """An archive for the kernel to start with: drivers, and a program that hands on to systemd."""
    tree = os.path.join(directory, "first")
    for name in ("bin", "dev", "disk", "modules", "proc"):
        os.makedirs(os.path.join(tree, name))
    for source, target in ((BUSYBOX, "bin/busybox"), (os.path.join(HERE, "guest/init"), "init")):
        shutil.copy(source, os.path.join(tree, target))
        os.chmod(os.path.join(tree, target), 0o755)
    os.symlink("busybox", os.path.join(tree, "bin/sh"))
    release = os.listdir(os.path.join(kernel_directory, "lib/modules"))[0]
    order = []
    for module in MODULES:
        for line in run("modprobe", "-d", kernel_directory, "-S", release, "--show-depends", module).stdout.splitlines():
            words = line.split()
            if words[0] == "insmod" and words[1] not in order:
                order.append(words[1])
    for path in order:
        shutil.copy(path, os.path.join(tree, "modules"))
    with open(os.path.join(tree, "modules/order"), "w", encoding="ascii") as file:
        file.write("\n".join(os.path.basename(path) for path in order) + "\n")
    archive = os.path.join(directory, "first.cpio")
    names = "\n".join(os.path.relpath(os.path.join(at, name), tree)
                      for at, directories, files in os.walk(tree) for name in directories + files)
    with open(archive, "wb") as file:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=tree, input=names.encode(), stdout=file, check=True)
    shutil.rmtree(tree)
    return archive


def disk_image(package, configuration, ca_file, directory):
    """A file system with Debian, the package, its configuration, and the ways in for the test."""
    image = os.path.join(directory, "image")
    machine = box.Box()
    try:
        name = os.path.basename(package)
        shutil.copy(package, machine.path("/root/" + name))
        inside = ("chroot", machine.root, "env", "DEBIAN_FRONTEND=noninteractive", "sh", "-ec")
        run(*inside, f"useradd --system app && dpkg --install /root/{name} && usermod -aG twinspool-app app && rm /root/{name}")
        shutil.copy(ca_file, machine.path("/etc/twinspool/cloud-ca.pem"))
        os.chmod(machine.path("/etc/twinspool/cloud-ca.pem"), 0o644)
        machine.write("/etc/twinspool/twinspool.yaml", json.dumps(configuration, indent=1))
        machine.write("/etc/hostname", "gateway\n")
        machine.write("/etc/machine-id", "00000000000000000000000000000012\n")
        machine.write("/etc/systemd/journald.conf.d/console.conf", "[Journal]\nStorage=volatile\nForwardToConsole=yes\n"
                      "TTYPath=/dev/ttyS0\nMaxLevelConsole=info\n")
        # No hardware helps this machine, and its host may be busy or stopped: minutes pass, and nothing is wrong.
        machine.write("/etc/systemd/system.conf.d/slow.conf", "[Manager]\nDefaultTimeoutStartSec=1h\n")
        machine.write("/etc/systemd/system/twinspoold.service.d/slow.conf",
                      "[Service]\nWatchdogSec=1h\nTimeoutStartSec=1h\nTimeoutStopSec=1h\n")
        shutil.copy(os.path.join(HERE, "guest/shell"), machine.path("/usr/local/lib/powercuts-shell"))
        units = glob.glob(os.path.join(HERE, "guest/powercuts-*"))
        for unit in units:
            shutil.copy(unit, machine.path("/etc/systemd/system/"))
        wanted = " ".join(os.path.basename(unit) for unit in units if "applications.service" not in unit)
        run(*inside, f"systemctl enable {wanted}; systemctl mask {' '.join(MASKED)}; systemctl set-default multi-user.target")
        for path in UNWANTED:
            shutil.rmtree(machine.path("/" + path), ignore_errors=True)
        run("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", machine.root, image, SIZE)
    finally:
        machine.close()
    return image
