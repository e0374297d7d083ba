# SPDX-License-Identifier: MIT
# The ten lines that greetd began as, with a port to choose.
import socket
import sys
server = socket.socket()
server.bind(('127.0.0.1', int(sys.argv[1])))
server.listen()
print('Server is listening on 127.0.0.1:' + sys.argv[1])
while True:
    connection, (host, port) = server.accept()
    print(f'Connection from {host}:{port}')
    connection.sendall(b'Hello from server!')
    connection.close()
