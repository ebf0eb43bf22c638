# SPDX-License-Identifier: LGPL-2.1-or-later
# private-client.pl: a client of reckond's private socket that does what no library does.
#
# usage: perl private-client.pl SOCKET KIND; it prints what happens, a line each.
#   nothing    does not log in
#   garbage    sends no D-Bus
#   half       logs in, and sends half a call
#   large      logs in, and begins a call of 100 MiB
#   idle       logs in, and calls nothing
#   deaf       logs in, and calls without end, but does not read
#   together   sends its BEGIN together with two calls
#   parts      sends its BEGIN together with half a call, and the rest later
use strict;
use warnings;
use IO::Select;
use Socket;

my ($path, $kind) = @ARGV;
$| = 1;
alarm 90; # it waits for ever if it is neither answered nor disconnected
$SIG{PIPE} = 'IGNORE';
socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
connect($s, sockaddr_un($path)) or do { print "not connected: $!\n"; exit 1 };

sub pad { my ($text, $to) = @_; return $text . "\0" x (-length($text) % $to) }
sub field { my ($code, $type, $text) = @_; return pack('CCa1xV', $code, 1, $type, length $text) . "$text\0" }
# GetAll() of the properties, whose answer has some KiB.
sub call {
    my $interface = 'org.reckond1.Manager';
    my $body = pack('V', length $interface) . "$interface\0";
    my $fields = pad(field(1, 'o', '/org/reckond1'), 8) . pad(field(2, 's', 'org.freedesktop.DBus.Properties'), 8) .
        pad(field(3, 's', 'GetAll'), 8) . pack('CCa1xCa1x', 8, 1, 'g', 1, 's');
    return pad(pack('a1CCCVVV', 'l', 1, 0, 1, length $body, $_[0], length $fields) . $fields, 8) . $body;
}
sub put { defined syswrite($s, $_[0]) or print "cannot write: $!\n" }
# What comes until it matches, or the end.
my $got = '';
sub await { my $what = shift; while ($got !~ $what) { return 0 unless sysread($s, $got, 65536, length $got) } return 1 }
sub await_end { my $at = time; 1 while sysread($s, $got, 65536); print 'closed after ', time - $at, " s\n"; exit }
sub login { put("\0AUTH EXTERNAL " . unpack('H*', $>) . "\r\n"); await(qr/OK [0-9a-f]{32}\r\n/) or do { print "refused\n"; exit 1 } }

if ($kind eq 'nothing') { print "ready\n"; await_end() }
if ($kind eq 'garbage') { put("GET / HTTP/1.0\r\n\r\n"); print "ready\n"; await_end() }
login();
$got = '';
if ($kind eq 'together' || $kind eq 'parts') {
    my $text = "BEGIN\r\n" . call(1) . call(2);
    my $cut = $kind eq 'parts' ? 100 : length $text;
    put(substr($text, 0, $cut));
    select undef, undef, undef, 0.3;
    put(substr($text, $cut)) if $cut < length $text;
    print await(qr/MemoryTotal.*MemoryTotal/s) ? "answered\n" : "not answered\n";
    $got = '';
    put(call(3));
    print await(qr/MemoryTotal/) ? "answered\n" : "not answered\n";
    exit;
}
put("BEGIN\r\n");
if ($kind eq 'half') { put(substr(call(1), 0, 40)); print "ready\n"; await_end() }
if ($kind eq 'large') { put(pack('a1CCCVVV', 'l', 1, 0, 1, 100 << 20, 1, 0) . 'x' x 100000); print "ready\n"; await_end() }
if ($kind eq 'idle') { put(call(1)); await(qr/MemoryTotal/); print "ready\n"; await_end() }
if ($kind eq 'deaf') {
    my ($n, $at) = (0, time);
    $s->blocking(0);
    print "ready\n";
    while (1) {
        my $text = call(++$n);
        while (length $text) {
            my $sent = syswrite($s, $text);
            if (!defined $sent && !$!{EAGAIN}) { print 'closed after ', time - $at, " s\n"; exit }
            substr($text, 0, $sent) = '' if $sent;
            select undef, undef, undef, 0.05 unless $sent;
        }
    }
}
die;
