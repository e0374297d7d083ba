-- SPDX-License-Identifier: MIT
core.register_service("greet", "tcp", function(applet)
    applet:send("Hello from server!")
end)
