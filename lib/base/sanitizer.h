/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sanitizer: which one this is built with, if any; of gcc and of clang. */
#pragma once

#if defined(__has_feature)
#	if __has_feature(address_sanitizer)
#		define HAS_ADDRESS_SANITIZER 1
#	endif
#	if __has_feature(thread_sanitizer)
#		define HAS_THREAD_SANITIZER 1
#	endif
#endif
#ifdef __SANITIZE_ADDRESS__
#	define HAS_ADDRESS_SANITIZER 1
#endif
#ifdef __SANITIZE_THREAD__
#	define HAS_THREAD_SANITIZER 1
#endif
#ifndef HAS_ADDRESS_SANITIZER
#	define HAS_ADDRESS_SANITIZER 0
#endif
#ifndef HAS_THREAD_SANITIZER
#	define HAS_THREAD_SANITIZER 0
#endif

/* It has an allocator of its own, and a shadow of all memory: sizes are not those of the program.
 */
#define HAS_SHADOW_MEMORY (HAS_ADDRESS_SANITIZER || HAS_THREAD_SANITIZER)
