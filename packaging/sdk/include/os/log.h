/*
 * The part of <os/log.h> that the crate `oslog` compiles against, for builds where Apple's SDK is not at hand.
 *
 * Written from what clang documents (`__builtin_os_log_format`) and what libSystem.tbd exports; nothing of Apple's
 * header is copied. On a Mac the SDK's own header is used instead.
 */
#ifndef VEDETTE_OS_LOG_H
#define VEDETTE_OS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct os_log_s *os_log_t;
typedef uint8_t os_log_type_t;

#define OS_LOG_TYPE_DEFAULT ((os_log_type_t)0x00)
#define OS_LOG_TYPE_INFO ((os_log_type_t)0x01)
#define OS_LOG_TYPE_DEBUG ((os_log_type_t)0x02)
#define OS_LOG_TYPE_ERROR ((os_log_type_t)0x10)
#define OS_LOG_TYPE_FAULT ((os_log_type_t)0x11)

/* Exported by libSystem; `dso` names the image whose __oslogstring section holds the format. */
extern os_log_t os_log_create(const char *subsystem, const char *category);
extern void os_release(void *object);
extern bool os_log_type_enabled(os_log_t log, os_log_type_t type);
extern void _os_log_impl(void *dso, os_log_t log, os_log_type_t type, const char *format, uint8_t *buffer,
                         uint32_t size);
extern struct mach_header __dso_handle;
extern struct os_log_s _os_log_default;

#define OS_LOG_DEFAULT (&_os_log_default)

/* The format must lie in this section: it is looked up there when the entry is read. */
#define os_log_with_type(log, type, format, ...)                                                                     \
    do {                                                                                                             \
        static const char text[] __attribute__((section("__TEXT,__oslogstring,cstring_literals"), used)) = format;   \
        uint8_t buffer[__builtin_os_log_format_buffer_size(format, ##__VA_ARGS__)];                                  \
        if (os_log_type_enabled(log, type)) {                                                                        \
            __builtin_os_log_format(buffer, format, ##__VA_ARGS__);                                                  \
            _os_log_impl(&__dso_handle, log, type, text, buffer, (uint32_t)sizeof buffer);                           \
        }                                                                                                            \
    } while (0)

#define os_log(log, format, ...) os_log_with_type(log, OS_LOG_TYPE_DEFAULT, format, ##__VA_ARGS__)
#define os_log_debug(log, format, ...) os_log_with_type(log, OS_LOG_TYPE_DEBUG, format, ##__VA_ARGS__)
#define os_log_info(log, format, ...) os_log_with_type(log, OS_LOG_TYPE_INFO, format, ##__VA_ARGS__)
#define os_log_error(log, format, ...) os_log_with_type(log, OS_LOG_TYPE_ERROR, format, ##__VA_ARGS__)
#define os_log_fault(log, format, ...) os_log_with_type(log, OS_LOG_TYPE_FAULT, format, ##__VA_ARGS__)

#endif
