// What `intelligent-session/notifications` exports: publishing, for any process. A site reads by `req.intelligence`.
export { type ErrorCode, IntelligentSessionError, OptionError } from '../errors/errors.js';
export type { RedisOption } from '../redis/connect.js';
export type { NewNotification, Notification, NotificationChanges } from './notification.js';
export { createNotifications, type EditOptions, type ListOptions, type Notifications } from './notifications.js';
export type { NotificationsOptions } from './options.js';
export type { NotificationRecipient } from './recipient-list.js';
export { UnconfirmedError } from './unconfirmed-error.js';
