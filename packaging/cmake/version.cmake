# SPDX-License-Identifier: MIT
# Writes version.h and the manual pages, which carry the version, into the build folder. It is asked for
# at each build, since a commit or a tag changes it; what has not changed is not written.

if(NOT CMAKE_SCRIPT_MODE_FILE)
    file(GLOB MAN_PAGES CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/packaging packaging/*.[1-8])
    set(GREETD_VERSION_OPTIONS -include ${PROJECT_BINARY_DIR}/version.h)
    add_custom_target(greetd-version ALL
        COMMAND ${CMAKE_COMMAND} -DPROJECT_SOURCE_DIR=${PROJECT_SOURCE_DIR}
            -DPROJECT_BINARY_DIR=${PROJECT_BINARY_DIR} "-DMAN_PAGES=${MAN_PAGES}"
            -P ${CMAKE_CURRENT_LIST_FILE}
        VERBATIM)
endif()

execute_process(COMMAND sh ${PROJECT_SOURCE_DIR}/packaging/version
    OUTPUT_VARIABLE GREETD_VERSION OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/version.h
    CONTENT "#define GREETD_VERSION \"${GREETD_VERSION}\"\n" @ONLY)
foreach(PAGE ${MAN_PAGES})
    file(READ ${PROJECT_SOURCE_DIR}/packaging/${PAGE} TEXT)
    string(REGEX REPLACE "(\n\\.TH [^ ]+ [^ ]+ [^ ]+) greetd " "\\1 \"greetd ${GREETD_VERSION}\" "
        TEXT "${TEXT}")
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/man/${PAGE} CONTENT "${TEXT}" @ONLY)
endforeach()
