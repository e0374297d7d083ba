# SPDX-License-Identifier: MIT
# The interface target greetd-options: how every source of ours is compiled and linked.

include(CheckCCompilerFlag)

add_library(greetd-options INTERFACE)

target_compile_options(greetd-options INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla
    -Werror=implicit -Werror=return-type
)

# The same bytes wherever it is built: assert(3) has the paths of sources, and debug information those
# of both folders. The last option that matches counts, and the build folder may be in the other.
target_compile_options(greetd-options INTERFACE
    -ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.
    -ffile-prefix-map=${PROJECT_BINARY_DIR}=. -Wdate-time
)

target_compile_options(greetd-options INTERFACE -fstack-protector-strong)
target_link_options(greetd-options INTERFACE -Wl,-z,relro -Wl,-z,now)

# Control-flow enforcement, where the processor has it.
check_c_compiler_flag(-fcf-protection=full HAVE_CF_PROTECTION)
if(HAVE_CF_PROTECTION)
    target_compile_options(greetd-options INTERFACE -fcf-protection=full)
endif()

check_c_compiler_flag(-fstack-clash-protection HAVE_STACK_CLASH_PROTECTION)
if(HAVE_STACK_CLASH_PROTECTION)
    target_compile_options(greetd-options INTERFACE -fstack-clash-protection)
endif()

if(SANITIZE)
    target_compile_options(greetd-options INTERFACE
        -fsanitize=${SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(greetd-options INTERFACE -fsanitize=${SANITIZE})
    if(SANITIZE STREQUAL "thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
        # TSan does not model fences. Ours orders atomics only, of which it needs no model.
        target_compile_options(greetd-options INTERFACE -Wno-tsan)
    endif()
elseif(CMAKE_BUILD_TYPE MATCHES "^(Release|RelWithDebInfo|MinSizeRel)$")
    # It needs an optimised build, and hides from the sanitizers what they look for.
    target_compile_options(greetd-options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

option(COVERAGE "Count what is executed, with clang" OFF)
if(COVERAGE)
    # The counters are in a file, so that those of a process that is killed count, too. Processes
    # share them: an outcome is the difference of two counters, which must not lose any.
    target_compile_options(greetd-options INTERFACE -fprofile-instr-generate -fcoverage-mapping
        -fprofile-update=atomic "SHELL:-mllvm -runtime-counter-relocation")
    target_link_options(greetd-options INTERFACE -fprofile-instr-generate)
endif()
